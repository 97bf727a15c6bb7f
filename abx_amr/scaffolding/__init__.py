"""A user's project: written anew, checked as a whole, or made from files of the prior tool."""
