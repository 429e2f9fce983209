# Local modules, one inside the other.
module "network" {
  source = "./modules/network"
  name   = "lab"
}

resource "terraform_data" "machine" {
  input = module.network.subnets
}
