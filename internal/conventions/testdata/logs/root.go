package fixture

import (
	"context"
	"log/slog"
)

const constant = "fixture: constant"

func logs(ctx context.Context, log *slog.Logger, err error, name string) {
	log.Error("fixture: cannot store; retrying", "err", err, "100%", 1)
	log.InfoContext(ctx, constant)
	log.LogAttrs(ctx, slog.LevelError, "fixture: 3 legs failed")
	log.With("no", "message").WithGroup("group")
	report(log, "fixture: by a parameter")

	log.Error("cannot store")
	log.Warn("Fixture: cannot store")
	log.Warn("fixture: Store: cannot store")
	log.WarnContext(ctx, "other: cannot store")
	log.LogAttrs(ctx, slog.LevelError, "fixture: 100%")
	log.Log(ctx, slog.LevelInfo, "fixture: leg "+name)
	slog.Info("request")
	report(log, "by a parameter, without a prefix")
}

func report(log *slog.Logger, text string) { log.Info(text) }
