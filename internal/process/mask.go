package process

import (
	"io"
	"regexp"
)

// masked is a writer that lets no secret and no e-mail address through. It is the
// last line of defence: nothing should log them in the first place, but an error
// of a driver or a header in a panic may carry what its author did not think of.
type masked struct{ to io.Writer }

// secrets are what must not stand in a log, each with what is written instead.
var secrets = []struct {
	pattern *regexp.Regexp
	instead []byte
}{
	// A field whose name says that it is one, as JSON or in a console line.
	{regexp.MustCompile(`(?i)((?:password|secret|token|authorization|cookie)[a-z_]*\\?"?\s*[:=]\s*\\?"?)(?:[^"\\\s,}]+)`), []byte("${1}" + mask)},
	{regexp.MustCompile(`(?i)(bearer\s+)[^\s"\\]+`), []byte("${1}" + mask)},
	{regexp.MustCompile(`eyJ[\w-]{5,}\.[\w-]+\.[\w-]+`), []byte(mask)},                     // a JWT
	{regexp.MustCompile(`\$argon2id?\$[^\s"\\]+`), []byte(mask)},                           // a password's hash
	{regexp.MustCompile(`(://[^/\s:@"\\]*:)[^@/\s"\\]+@`), []byte("${1}" + mask + "@")},    // a password in a URL
	{regexp.MustCompile(`[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}`), []byte("x@xxxxx")}, // an e-mail address
}

// Write writes b with its secrets masked, and says that all of b was written.
func (m masked) Write(b []byte) (int, error) {
	safe := b
	for _, s := range secrets {
		if s.pattern.Match(safe) { // most lines have none, and are not copied
			safe = s.pattern.ReplaceAll(safe, s.instead)
		}
	}
	if _, err := m.to.Write(safe); err != nil {
		return 0, err
	}
	return len(b), nil
}
