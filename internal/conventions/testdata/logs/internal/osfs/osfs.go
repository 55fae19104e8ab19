// Package osfs is internal, and logs in the name of one that is not.
package osfs

import "log/slog"

func logs(log *slog.Logger) {
	log.Info("fixture: file closed")
	log.Info("osfs: file closed")
}
