"""Linux systems on a disk that is not running: mounted, changed, unmounted."""
