// Package torture kills what stores events, again and again, and then looks for what was promised.
// It needs the build tag torture.
//
// A child process is a journal, a delivery and a sink for a remote store. It writes events to the
// journal and reports each that is acknowledged. [Run], in the parent, kills the child and the
// server of the store at random moments, and starts them again. In the end a last child delivers
// everything, and Run compares: every acknowledged event is in the store, or is a dead letter if
// the store refuses it; nothing is stored twice, if the sink declares that; dead letters are
// exactly the events that the store refuses; every stored event has its own data; and the events of
// each writer are in order.
//
// The child is the test binary itself, so the package needs a TestMain that calls [Main].
package torture
