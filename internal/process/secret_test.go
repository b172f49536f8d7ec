package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// given is a file that holds that text.
func given(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return r
}

func TestSecret(t *testing.T) {
	for name, c := range map[string]struct{ environment, stdin, want string }{
		"a line":           {"", "correct horse\nstaple\n", "correct horse"},
		"no line end":      {"", "correct horse", "correct horse"},
		"a line of DOS":    {"", "correct horse\r\n", "correct horse"},
		"blanks are bytes": {"", " correct horse \n", " correct horse "},
		"an empty line":    {"", "\n", ""},
		"the environment":  {" from there ", "correct horse\n", " from there "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLUICE_TEST_SECRET", c.environment)
			var prompts bytes.Buffer
			got, err := Secret(t.Context(), "SLUICE_TEST_SECRET", "word", given(t, c.stdin), &prompts)
			if err != nil || got != c.want || prompts.Len() > 0 {
				t.Errorf("%q, %v, asked %q", got, err, &prompts)
			}
		})
	}
	for name, stdin := range map[string]string{"nothing": "", "a novel": strings.Repeat("horse ", 1000)} {
		got, err := Secret(t.Context(), "SLUICE_TEST_SECRET", "word", given(t, stdin), io.Discard)
		if err == nil || got != "" || !strings.Contains(err.Error(), "SLUICE_TEST_SECRET") || strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestSecretIsNotWaitedForForEver: Ctrl-C ends the question.
func TestSecretIsNotWaitedForForEver(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Secret(ctx, "SLUICE_TEST_SECRET", "word", r, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("answer %v", err)
	}
}
