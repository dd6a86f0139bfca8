"""What a daemon shows of itself over HTTP: `health` says how it is, `server` answers. Opens a socket."""
