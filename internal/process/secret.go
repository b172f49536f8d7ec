package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// longestSecret bounds what Secret reads of a line, in bytes.
const longestSecret = 1024

// Secret answers what must not stand on a command line, where everybody on the
// machine could read it: the environment variable if it is set; else, when in is a
// terminal, what is typed there twice without being shown; else the first line
// of in. what says what to type.
func Secret(ctx context.Context, variable, what string, in *os.File, prompts io.Writer) (string, error) {
	if secret := os.Getenv(variable); secret != "" {
		return secret, nil
	}
	lines := bufio.NewReaderSize(in, longestSecret)
	show, isTerminal := hideTyping(in)
	if !isTerminal {
		secret, err := readLine(ctx, lines)
		if err != nil {
			return "", fmt.Errorf("read the %s from standard input (or set %s): %w", what, variable, err)
		}
		return secret, nil
	}
	defer show()
	var typed [2]string
	for i, prompt := range []string{"Type the " + what + ": ", "And again: "} {
		fmt.Fprint(prompts, prompt)
		var err error
		if typed[i], err = readLine(ctx, lines); err != nil {
			return "", fmt.Errorf("read the %s: %w", what, err)
		}
	}
	if typed[0] != typed[1] {
		return "", fmt.Errorf("the %s was typed in two ways", what)
	}
	return typed[0], nil
}

// readLine answers the next line without its end. When ctx ends first nobody
// waits for the line: the terminal must not stay mute after Ctrl-C.
func readLine(ctx context.Context, from *bufio.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := from.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = nil // the last line of a file may lack its end
		}
		read <- result{strings.TrimRight(string(line), "\r\n"), err}
	}()
	select {
	case r := <-read:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// hideTyping has the terminal not show what is typed until show is called. False
// when f is no terminal.
func hideTyping(f *os.File) (show func(), ok bool) {
	before, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	if err != nil {
		return nil, false
	}
	mute := *before
	mute.Lflag = mute.Lflag&^unix.ECHO | unix.ECHONL
	if err := unix.IoctlSetTermios(int(f.Fd()), setTermios, &mute); err != nil {
		return nil, false
	}
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), setTermios, before) }, true
}
