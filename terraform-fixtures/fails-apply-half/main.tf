resource "terraform_data" "made" {
  input = "this one is real"
}

resource "terraform_data" "fails" {
  input      = "this one is not"
  depends_on = [terraform_data.made]

  provisioner "local-exec" {
    command = "echo no capacity left >&2; exit 3"
  }
}
