package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal answers both ends of a new one: that of who types, and that of the
// program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func shows(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// typist answers each question as it is asked.
type typist struct {
	t       *testing.T
	person  *os.File
	program *os.File
	answers []string

	sync.Mutex
	asked bytes.Buffer
}

func (p *typist) Write(question []byte) (int, error) {
	p.Lock()
	defer p.Unlock()
	p.asked.Write(question)
	if shows(p.t, p.program) {
		p.t.Error("what is typed now would be shown")
	}
	_, err := p.person.WriteString(p.answers[0] + "\n")
	p.answers = p.answers[1:]
	return len(question), err
}

func TestSecretOnATerminal(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		want    string
	}{
		"twice":       {[]string{"correct horse", "correct horse"}, "correct horse"},
		"in two ways": {[]string{"correct horse", "correct house"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			person, program := terminal(t)
			p := &typist{t: t, person: person, program: program, answers: c.answers}
			got, err := Secret(t.Context(), "SLUICE_TEST_SECRET", "word", program, p)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "correct") {
				t.Errorf("the error tells it: %v", err)
			}
			if asked := p.asked.String(); asked != "Type the word: And again: " {
				t.Errorf("asked %q", asked)
			}
			if !shows(t, program) {
				t.Error("the terminal stays mute")
			}
			shown := make([]byte, 100) // the two line ends, and nothing else
			n, err := person.Read(shown)
			if err != nil || strings.Trim(string(shown[:n]), "\r\n") != "" {
				t.Errorf("the terminal showed %q, %v", shown[:n], err)
			}
		})
	}
}

// TestInterruptedQuestion: after Ctrl-C the terminal shows again what is typed.
func TestInterruptedQuestion(t *testing.T) {
	_, program := terminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := asking(func() { cancel() })
	if _, err := Secret(ctx, "SLUICE_TEST_SECRET", "word", program, asked); !errors.Is(err, context.Canceled) {
		t.Errorf("answer %v", err)
	}
	if !shows(t, program) {
		t.Error("the terminal stays mute")
	}
}

// asking is called at each question.
type asking func()

func (a asking) Write(question []byte) (int, error) {
	a()
	return len(question), nil
}
