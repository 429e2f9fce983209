terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.18.0"
    }
  }
}

data "coder_workspace" "me" {}

data "coder_parameter" "replicas" {
  name    = "replicas"
  type    = "number"
  default = 1
  mutable = true
}

module "workspace" {
  source  = "./workspace"
  running = data.coder_workspace.me.start_count
}

module "replica" {
  source = "./replica"
  count  = data.coder_parameter.replicas.value
  index  = count.index
}

module "tools" {
  source   = "./tools"
  for_each = toset(["git", "vi.m"])
  name     = each.key
  agent    = module.workspace.agent_id
}
