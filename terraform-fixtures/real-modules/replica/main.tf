variable "index" {
  type = number
}

resource "terraform_data" "copy" {
  input = var.index
}

module "inner" {
  source   = "./inner"
  for_each = toset(["log"])
  name     = each.key
}
