package testkit

import (
	"os"
	"strings"
	"testing"
)

// Block returns the block of code of a language that a document has between the marks of a name,
// <!-- name --> and <!-- /name -->.
func Block(t testing.TB, document, name, language string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(text), "<!-- "+name+" -->\n```"+language+"\n")
	block, _, ends := strings.Cut(rest, "```\n<!-- /"+name+" -->")
	if !begins || !ends {
		t.Fatalf("%s has no block %q in %s", document, name, language)
	}
	return block
}
