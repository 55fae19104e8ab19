package main

import "log/slog"

func main() { slog.Info("Listening") }
