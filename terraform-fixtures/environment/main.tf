# Prints what a job sees of the agent's environment: for people who set up credentials.
resource "terraform_data" "environment" {
  provisioner "local-exec" {
    command = "env | grep -v -e '^TF_' -e '^CODER_AGENT_SCRIPT' -e '^PWD' | sort"
  }
}
