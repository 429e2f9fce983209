# The smallest template: one built-in resource, so that it runs offline, without any provider.
variable "greeting" {
  type        = string
  description = "What the resource remembers."
  default     = "hello"
}

resource "terraform_data" "hello" {
  input = var.greeting
}
