resource "terraform_data" "strict" {
  input = "anything"

  lifecycle {
    precondition {
      condition     = length("anything") > 100
      error_message = "This template refuses every plan."
    }
  }
}
