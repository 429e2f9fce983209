terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.18.0"
    }
  }
}

data "coder_workspace" "me" {}

data "coder_parameter" "editor" {
  name    = "editor"
  type    = "string"
  default = "vim"
  mutable = true
}

resource "coder_agent" "main" {
  os                  = "linux"
  arch                = "arm64"
  auth                = "token"
  dir                 = "/work"
  connection_timeout  = 45
  troubleshooting_url = "https://example.com/help"
  motd_file           = "/etc/motd"
  order               = 7
  api_key_scope       = "no_user_data"
  env = {
    LANG  = "C.UTF-8"
    EMPTY = ""
  }
  startup_script          = "echo up"
  startup_script_behavior = "blocking"
  shutdown_script         = "echo down"

  display_apps {
    vscode                 = false
    vscode_insiders        = true
    web_terminal           = true
    ssh_helper             = false
    port_forwarding_helper = false
  }

  metadata {
    key          = "second"
    display_name = "Second"
    script       = "date +%s"
    interval     = 30
    timeout      = 5
    order        = 2
  }
  metadata {
    key      = "first"
    script   = <<-EOT
      #!/bin/sh
      uptime
    EOT
    interval = 10
  }

  resources_monitoring {
    memory {
      enabled   = true
      threshold = 80
    }
    volume {
      path      = "/home"
      enabled   = true
      threshold = 90
    }
    volume {
      path      = "/var"
      enabled   = false
      threshold = 50
    }
  }
}

resource "coder_script" "nightly" {
  agent_id     = coder_agent.main.id
  display_name = "Nightly"
  icon         = "/icon/moon.svg"
  script       = "backup"
  cron         = "0 30 2 * * *"
  log_path     = "nightly.log"
  timeout      = 600
}

resource "coder_script" "setup" {
  agent_id           = coder_agent.main.id
  display_name       = "Set up"
  script             = "install"
  run_on_start       = true
  start_blocks_login = true
}

resource "coder_script" "teardown" {
  agent_id     = coder_agent.main.id
  display_name = "Tear down"
  script       = "remove"
  run_on_stop  = true
}

resource "coder_env" "editor" {
  agent_id = coder_agent.main.id
  name     = "EDITOR"
  value    = data.coder_parameter.editor.value
}

resource "coder_env" "path_after" {
  agent_id       = coder_agent.main.id
  name           = "PATH"
  value          = "/opt/after"
  merge_strategy = "append"
}

resource "coder_env" "path_before" {
  agent_id       = coder_agent.main.id
  name           = "PATH"
  value          = "/opt/before"
  merge_strategy = "prepend"
}

resource "coder_env" "only_once" {
  agent_id       = coder_agent.main.id
  name           = "ONLY_ONCE"
  value          = ""
  merge_strategy = "error"
}

# Stands for the machine: there while the workspace runs.
resource "terraform_data" "machine" {
  count            = data.coder_workspace.me.start_count
  input            = coder_agent.main.id
  triggers_replace = [data.coder_parameter.editor.value]
}
