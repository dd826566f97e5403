# A recipe may inherit it; nothing hangs on it here.
