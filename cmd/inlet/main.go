// Inlet is the command line of the event log: it runs a server, and looks at, repeats, checks and
// erases what a server has stored.
//
//	go install github.com/inlet-go/inlet/cmd/inlet@latest
//	inlet serve
//
// "inlet -h" lists the commands, and "inlet COMMAND -h" explains one. docs/COMMANDS.md has all of
// them.
//
// It exits with status 0 if a command succeeded, 1 if it failed, and 2 if it was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// The statuses with which the process ends.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// A command is one of those that inlet has.
type command struct {
	name, summary string
	// about explains the command, and example is a line that calls it.
	about, example string
	// run adds the command's flags to f, and returns what runs it once they are parsed.
	run func(f *flag.FlagSet) func(ctx context.Context, stdout, stderr io.Writer) error
	// everyVariable lets variables of the environment set all flags, and not only -dir. It is that
	// of commands that do not work on a directory's content, whose output is no result.
	everyVariable bool
}

func commands() []command {
	return []command{
		serveCommand(), readyCommand(), tailCommand(), statsCommand(), verifyCommand(), lettersCommand(), redriveCommand(), replayCommand(), eraseCommand(), fakeCommand(),
		planInferCommand(), planCheckCommand(), planDiffCommand(), planReplayCommand(), planTypesCommand(),
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the status with which the process ends.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		overview(stderr)
		return statusUsage
	}
	if slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		overview(stdout)
		return statusOK
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return c.call(args[len(words):], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "inlet: there is no command %q\n\n", args[0])
	overview(stderr)
	return statusUsage
}

func overview(w io.Writer) {
	fmt.Fprint(w, "Usage: inlet COMMAND [flags]\n\nCommands:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n\"inlet COMMAND -h\" explains a command. The status is 0 after success, 1 after a failure, and 2\n"+
		"if a command or a flag is wrong.\n")
}

// errUsage is for arguments that are wrong in a way which no flag notices.
type errUsage string

func (e errUsage) Error() string { return string(e) }

// errQuiet is a failure that the output has already.
var errQuiet = errors.New("")

func (c command) call(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("inlet "+c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	run := c.run(f)
	err := explained(f, f.Parse(args))
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(f, stdout)
		return statusOK
	case err == nil && f.NArg() > 0:
		err = errUsage("unexpected argument: " + f.Arg(0))
	case err == nil:
		err = c.setFromEnvironment(f)
	}
	if dir := f.Lookup("dir"); err == nil && dir != nil && dir.Value.String() == "" {
		err = errUsage("-dir must not be empty")
	}
	if err != nil {
		return c.misused(f, stderr, err)
	}
	out := &checkedWriter{w: stdout}
	err = run(context.Background(), out, stderr)
	if err == nil && out.err != nil && !c.everyVariable {
		err = fmt.Errorf("results not written: %w", out.err)
	}
	_, misused := errors.AsType[errUsage](err)
	switch {
	case misused:
		return c.misused(f, stderr, err)
	case errors.Is(err, errQuiet):
		return statusFailed
	case err != nil:
		fmt.Fprintf(stderr, "inlet %s: %v\n", c.name, err)
		return statusFailed
	}
	return statusOK
}

// A checkedWriter remembers the first error of a Write.
type checkedWriter struct {
	w   io.Writer
	err error
}

// Write writes p.
func (w *checkedWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func (c command) misused(f *flag.FlagSet, stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "inlet %s: %v\n\n", c.name, err)
	c.help(f, stderr)
	return statusUsage
}

func (c command) help(f *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "Usage: inlet %s [flags]\n\n%s\n\nExample:\n\n  %s\n\nFlags:\n\n", c.name, c.about, c.example)
	f.SetOutput(w)
	f.PrintDefaults()
	if c.everyVariable {
		fmt.Fprint(w, "\nA flag that is not given is set by a variable of the environment, if there is one: -log-level by\n"+
			"INLET_LOG_LEVEL. In a variable, several values of a flag are separated by white space.\n")
	} else if f.Lookup("dir") != nil {
		fmt.Fprint(w, "\nINLET_DIR in the environment sets -dir, if that is not given.\n")
	}
}

// variable returns the name of the variable that sets a flag.
func variable(flag string) string {
	return "INLET_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// A listFlag is a flag that may be given several times.
type listFlag func(string) error

func (listFlag) String() string       { return "" }
func (l listFlag) Set(s string) error { return l(s) }

// setFromEnvironment sets the flags that were not given and that the environment has.
func (c command) setFromEnvironment(f *flag.FlagSet) (err error) {
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	f.VisitAll(func(g *flag.Flag) {
		text, ok := os.LookupEnv(variable(g.Name))
		if !ok || err != nil || given[g.Name] || !c.everyVariable && g.Name != "dir" {
			return
		}
		values := []string{text}
		if _, list := g.Value.(listFlag); list {
			values = strings.Fields(text)
		}
		for _, value := range values {
			if fault := f.Set(g.Name, value); fault != nil {
				err = fmt.Errorf("invalid value of %s: %w", variable(g.Name), explainedFor(g, fault))
			}
		}
	})
	return err
}

// unexplained is how package flag ends the error of a value that it cannot read.
const unexplained = "parse error"

// explained returns an error of Parse, with what the value must be.
func explained(f *flag.FlagSet, err error) error {
	if err == nil {
		return nil
	}
	text, cut := strings.CutSuffix(err.Error(), ": "+unexplained)
	if i := strings.LastIndex(text, " -"); cut && i >= 0 {
		if g := f.Lookup(text[i+2:]); g != nil {
			return fmt.Errorf("%s: %w", text, explainedFor(g, errors.New(unexplained)))
		}
	}
	return err
}

// explainedFor returns the error of setting a flag, with what the value must be.
func explainedFor(g *flag.Flag, err error) error {
	getter, ok := g.Value.(flag.Getter)
	if !ok || err.Error() != unexplained {
		return err
	}
	switch getter.Get().(type) {
	case bool:
		return errors.New("must be true or false")
	case time.Duration:
		return errors.New("must be a duration such as 90s, 15m or 24h")
	case int, int64, uint, uint64:
		return errors.New("must be a whole number")
	case float64:
		return errors.New("must be a number")
	}
	return err
}

// addDir adds the flag that most commands have.
func addDir(f *flag.FlagSet, dir *string) {
	f.StringVar(dir, "dir", "./inlet-data", "`directory` of the events")
}

// requireDir returns an error if dir is not a directory: a command that reads must not make it.
func requireDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	return err
}
