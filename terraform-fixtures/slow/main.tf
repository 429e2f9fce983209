variable "seconds" {
  type        = number
  description = "How long the apply takes."
  default     = 30
}

resource "terraform_data" "first" {
  input = "made at once"
}

resource "terraform_data" "slow" {
  input      = var.seconds
  depends_on = [terraform_data.first]

  provisioner "local-exec" {
    command = "i=0; while [ $i -lt ${var.seconds} ]; do i=$((i+1)); echo \"step $i of ${var.seconds}\"; sleep 1; done"
  }
}
