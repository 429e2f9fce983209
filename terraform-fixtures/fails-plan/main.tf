variable "size" {
  type        = number
  description = "Never large enough."
  default     = 1
}

resource "terraform_data" "strict" {
  input = var.size

  lifecycle {
    precondition {
      condition     = var.size > 100
      error_message = "This template refuses every plan."
    }
  }
}
