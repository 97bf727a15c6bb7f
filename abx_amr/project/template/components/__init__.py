"""Classes of this project; YAML names one as `_target_: components.module.Class`."""
