"""The sweeper behind abx-tune: a command line in, the workers of one study out."""
