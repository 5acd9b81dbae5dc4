"""``make powercut``: what is on the disk after the power has failed, at any moment; see ``__main__``."""
