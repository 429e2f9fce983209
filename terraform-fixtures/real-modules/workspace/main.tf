terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

variable "running" {
  type = number
}

data "coder_parameter" "zone" {
  name    = "zone"
  type    = "string"
  default = "a"
}

resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}

resource "coder_app" "home" {
  agent_id = coder_agent.main.id
  slug     = "home"
  url      = "http://localhost:8000"
}

resource "terraform_data" "machine" {
  count = var.running
  input = "${data.coder_parameter.zone.value} ${coder_agent.main.id}"
}

resource "coder_metadata" "machine" {
  count       = var.running
  resource_id = terraform_data.machine[0].id
  daily_cost  = 3
}

output "agent_id" {
  value = coder_agent.main.id
}
