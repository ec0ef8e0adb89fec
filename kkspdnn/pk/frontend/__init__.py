"""The front end of the compiler: from Python source to typed IR."""
