"""One picture in, labels out: the network with the steps round it, tiles, label files."""
