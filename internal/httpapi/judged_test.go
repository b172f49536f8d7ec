package httpapi

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// judged runs the tests, and fails when the whole suite was run and the document
// promises what no test was answered.
type judged struct{ *testing.M }

func (j judged) Run() int {
	code := j.M.Run()
	if code != 0 || !wholeSuite() {
		return code
	}
	l, err := law()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if missing := l.unseen(); len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "the document promises what no test has been answered:", missing)
		return 1
	}
	return 0
}

// wholeSuite says whether every test was asked to run.
func wholeSuite() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}
