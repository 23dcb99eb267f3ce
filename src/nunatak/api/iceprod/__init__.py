"""A foothold for scripts that speak IceProd's REST interface: what they read and submit, translated to ours."""
