"""The gateway: the game server between browsers and Redis. Browsers never reach Redis."""
