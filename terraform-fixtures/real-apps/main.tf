terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.18.0"
    }
  }
}

data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}

data "coder_parameter" "title" {
  name    = "title"
  type    = "string"
  default = "Editor"
  mutable = true
}

resource "coder_agent" "front" {
  os   = "linux"
  arch = "amd64"
}

resource "coder_agent" "back" {
  os   = "windows"
  arch = "amd64"
}

resource "coder_app" "editor" {
  agent_id     = coder_agent.front.id
  slug         = "editor"
  display_name = data.coder_parameter.title.value
  url          = "http://localhost:8080/?folder=/work"
  icon         = "/icon/code.svg"
  subdomain    = true
  share        = "authenticated"
  order        = 2
  group        = "Tools"
  open_in      = "tab"
  tooltip      = "The *editor*"
  healthcheck {
    url       = "http://localhost:8080/healthz"
    interval  = 5
    threshold = 6
  }
}

resource "coder_app" "docs" {
  agent_id = coder_agent.front.id
  slug     = "docs"
  url      = "https://example.com/docs"
  external = true
  order    = 1
  group    = "Tools"
}

resource "coder_app" "metrics" {
  agent_id = coder_agent.front.id
  slug     = "metrics"
  url      = "http://localhost:9090"
  share    = "public"
  hidden   = true
  open_in  = "slim-window"
}

resource "coder_app" "top" {
  agent_id     = coder_agent.back.id
  slug         = "top"
  display_name = "Processes"
  command      = "top"
}

resource "terraform_data" "front" {
  count = data.coder_workspace.me.start_count
  input = coder_agent.front.token
}

resource "terraform_data" "back" {
  count = data.coder_workspace.me.start_count
  input = coder_agent.back.init_script
}

# Stays when the workspace stops.
resource "terraform_data" "disk" {
  input = data.coder_workspace_owner.me.name
}

resource "coder_metadata" "front" {
  count       = data.coder_workspace.me.start_count
  resource_id = terraform_data.front[0].id
  icon        = "/icon/memory.svg"
  daily_cost  = 30
  item {
    key   = "title"
    value = data.coder_parameter.title.value
  }
  item {
    key       = "password"
    value     = "not-shown"
    sensitive = true
  }
  item {
    key = "nothing"
  }
}

resource "coder_metadata" "disk" {
  resource_id = terraform_data.disk.id
  hide        = true
  daily_cost  = 5
}
