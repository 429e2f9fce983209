terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

variable "agent" {
  type = string
}

variable "name" {
  type = string
}

resource "coder_app" "tool" {
  agent_id     = var.agent
  slug         = replace(var.name, ".", "-")
  display_name = var.name
  command      = var.name
}
