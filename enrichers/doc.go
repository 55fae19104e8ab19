// Package enrichers provides enrichers for the handler of package inlet: functions that change
// an event after it has passed its checks and before the sink stores it. They are set in
// [inlet.Options].Enrichers and run in that order, for the events of every dialect.
//
//   - [IP] decides how much of the user's IP address an event keeps.
//   - [UserAgent] fills in the user agent of the request.
//   - [Bots] marks the events of programs.
//   - [Redact] removes members.
//   - [Hash] replaces values by their keyed digest.
//   - [OptOut] runs other enrichers for visitors who opted out of tracking, and for no others.
//
// Layers of package middleware find out what these enrichers use: middleware.ClientIP sets the
// address, middleware.Identity the [inlet.Visitor].
//
// All enrichers of this package may be called concurrently, and leave the bytes of the request
// as they are.
package enrichers
