terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.18.0"
    }
  }
}

data "coder_workspace" "me" {}

data "coder_workspace_tags" "jobs" {
  tags = {
    "team" = "data"
    "tier" = 2
    "gpu"  = false
  }
}

# Strings.

data "coder_parameter" "region" {
  name         = "region"
  display_name = "Region"
  description  = "Where it *runs*."
  icon         = "/emojis/1f30d.png"
  type         = "string"
  form_type    = "dropdown"
  default      = "eu"
  order        = 1
  option {
    name        = "Europe"
    value       = "eu"
    description = "Frankfurt"
    icon        = "/emojis/1f1ea-1f1fa.png"
  }
  option {
    name  = "United States"
    value = "us"
  }
}

data "coder_parameter" "shell" {
  name    = "shell"
  type    = "string"
  default = "bash"
  mutable = true
  option {
    name  = "Bash"
    value = "bash"
  }
  option {
    name  = "Zsh"
    value = "zsh"
  }
}

# Has no default: whoever makes a workspace must say it.
data "coder_parameter" "project" {
  name    = "project"
  type    = "string"
  mutable = true
}

data "coder_parameter" "branch" {
  name    = "branch"
  type    = "string"
  default = "main"
  mutable = true
  validation {
    regex = "^[a-z][a-z0-9/-]*$"
    error = "A branch has lower-case letters, digits, - and /."
  }
}

data "coder_parameter" "notes" {
  name      = "notes"
  type      = "string"
  form_type = "textarea"
  default   = ""
  mutable   = true
}

# Numbers.

data "coder_parameter" "disk" {
  name    = "disk"
  type    = "number"
  default = 10
  mutable = true
  validation {
    min       = 0
    monotonic = "increasing"
    error     = "{value} is less than {min}"
  }
}

data "coder_parameter" "cpu" {
  name      = "cpu"
  type      = "number"
  form_type = "slider"
  default   = "2"
  mutable   = true
  validation {
    min = 1
    max = 8
  }
}

data "coder_parameter" "port" {
  name      = "port"
  type      = "number"
  form_type = "dropdown"
  default   = 8080
  mutable   = true
  option {
    name  = "8080"
    value = 8080
  }
  option {
    name  = "9090"
    value = 9090
  }
}

# Bools.

data "coder_parameter" "backup" {
  name    = "backup"
  type    = "bool"
  default = true
  mutable = true
}

data "coder_parameter" "gpu" {
  name      = "gpu"
  type      = "bool"
  form_type = "switch"
  default   = false
  mutable   = true
}

data "coder_parameter" "reset" {
  name      = "reset"
  type      = "bool"
  default   = false
  mutable   = true
  ephemeral = true
}

# Lists.

data "coder_parameter" "tools" {
  name      = "tools"
  type      = "list(string)"
  form_type = "multi-select"
  default   = jsonencode(["git"])
  mutable   = true
  option {
    name  = "Git"
    value = "git"
  }
  option {
    name  = "Vim"
    value = "vim"
  }
}

data "coder_parameter" "hosts" {
  name    = "hosts"
  type    = "list(string)"
  default = jsonencode([])
  mutable = true
}

data "coder_workspace_preset" "small" {
  name        = "Small"
  description = "One core"
  icon        = "/icon/small.svg"
  default     = true
  parameters = {
    region = "us"
    cpu    = "1"
  }
  prebuilds {
    instances = 2
    expiration_policy {
      ttl = 86400
    }
    scheduling {
      timezone = "Europe/Berlin"
      schedule {
        cron      = "* 8-18 * * 1-5"
        instances = 4
      }
      schedule {
        cron      = "* 8-14 * * 6"
        instances = 1
      }
    }
  }
}

data "coder_workspace_preset" "large" {
  name = "Large"
  parameters = {
    cpu = "8"
  }
}

resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = {
    region  = data.coder_parameter.region.value
    project = data.coder_parameter.project.value
    branch  = data.coder_parameter.branch.value
    disk    = data.coder_parameter.disk.value
    cpu     = data.coder_parameter.cpu.value
    reset   = data.coder_parameter.reset.value
    tools   = jsondecode(data.coder_parameter.tools.value)
  }
}
