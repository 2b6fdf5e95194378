"""From data sets as their owners publish them to id masks and lists; the door is `deeplab_tf.prepare_data`."""
