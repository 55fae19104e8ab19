package middleware

import "log/slog"

func logs(log *slog.Logger) {
	log.Info("middleware: request")
	log.Info("fixture: request")
}
