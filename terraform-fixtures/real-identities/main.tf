terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.18.0"
    }
  }
}

data "coder_workspace" "me" {}

data "coder_external_auth" "github" {
  id       = "github"
  optional = true
}

data "coder_parameter" "instance" {
  name    = "instance"
  type    = "string"
  default = "i-0a1b2c"
  mutable = true
}

resource "coder_agent" "aws" {
  os   = "linux"
  arch = "amd64"
  auth = "aws-instance-identity"
}

resource "coder_agent_instance" "aws" {
  agent_id    = coder_agent.aws.id
  instance_id = data.coder_parameter.instance.value
}

# Nobody has told its instance.
resource "coder_agent" "google" {
  os   = "linux"
  arch = "arm64"
  auth = "google-instance-identity"
}

resource "coder_agent" "containers" {
  os   = "linux"
  arch = "amd64"
}

resource "coder_devcontainer" "web" {
  agent_id         = coder_agent.containers.id
  workspace_folder = "/work/web"
  config_path      = "/work/web/.devcontainer/devcontainer.json"
}

resource "coder_devcontainer" "plain" {
  agent_id         = coder_agent.containers.id
  workspace_folder = "/work/plain"
}

resource "coder_app" "web" {
  agent_id = coder_devcontainer.web.subagent_id
  slug     = "web"
  url      = "http://localhost:3000"
}

resource "coder_script" "web" {
  agent_id     = coder_devcontainer.web.subagent_id
  display_name = "Dependencies"
  script       = "npm ci"
  run_on_start = true
}

resource "coder_env" "web" {
  agent_id = coder_devcontainer.web.subagent_id
  name     = "NODE_ENV"
  value    = "development"
}

resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = {
    aws        = coder_agent.aws.id
    google     = coder_agent.google.id
    containers = coder_agent.containers.token
    github     = data.coder_external_auth.github.access_token
  }
}
