variable "name" {
  type = string
}

resource "terraform_data" "subnet" {
  input = var.name
}

output "name" {
  value = terraform_data.subnet.output
}
