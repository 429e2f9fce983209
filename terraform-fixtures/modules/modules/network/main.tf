variable "name" {
  type = string
}

module "subnet" {
  source   = "./subnet"
  for_each = toset(["a", "b"])
  name     = "${var.name}-${each.key}"
}

resource "terraform_data" "network" {
  input = var.name
}

output "subnets" {
  value = [for subnet in module.subnet : subnet.name]
}
