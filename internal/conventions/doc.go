// Package conventions holds the rules of the repository that the compiler does not know,
// as tests: how the files of the root depend on each other, which package may import
// which, the public API, the words of comments and messages, what documents name, and how
// options, logs and examples look.
//
// Each rule is a check, a function from a tree of Go packages to findings. One test runs
// all checks over the repository; another runs each over a small module in testdata that
// breaks the rule, and compares the findings with want.txt, so that no check can stop
// working unnoticed. After a deliberate change of the public API or of a fixture:
//
//	go test ./internal/conventions -update
package conventions
