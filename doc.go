// Package inlet is an event ingestion API to mount into a Go web server.
package inlet
