// Package sinkkit has what sinks to other systems have in common: the end of Writes at Close,
// parts of a batch within limits, batch errors, and secrets that must not be in texts. Sinks in
// modules of their own below this one use it, too.
package sinkkit
