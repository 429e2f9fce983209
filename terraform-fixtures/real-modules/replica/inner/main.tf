variable "name" {
  type = string
}

resource "terraform_data" "volume" {
  count = 2
  input = "${var.name} ${count.index}"
}
