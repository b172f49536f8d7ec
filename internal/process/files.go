package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// longestFile bounds a file with a secret, in bytes.
const longestFile = 64 << 10

// AfterApply is called by kong when flags and environment are read.
func (c *Config) AfterApply() error { return c.ReadFiles() }

// ReadFiles puts what stands in the files that c names where it belongs: nil, or
// Faults. It never repeats a secret.
func (c *Config) ReadFiles() error {
	var faults Faults
	for _, s := range []struct {
		name, file string
		value      *string
	}{
		{"SLUICE_REDIS_URL", c.RedisURLFile, &c.RedisURL},
		{"SLUICE_POSTGRES_URL", c.PostgresURLFile, &c.PostgresURL},
		{"SLUICE_POSTGRES_DIRECT_URL", c.PostgresDirectURLFile, &c.PostgresDirectURL},
		{"SLUICE_POSTGRES_REPLICA_URL", c.PostgresReplicaURLFile, &c.PostgresReplicaURL},
		{"SLUICE_JWT_KEYS", c.JWTKeysFile, &c.JWTKeys},
	} {
		if s.file == "" {
			continue
		}
		text, err := readSecret(s.file, c.Production)
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("%s_FILE %v", s.name, err))
		case *s.value != "" && *s.value != text:
			faults = append(faults, fmt.Sprintf("%s is given, and %s_FILE too: one of them is to go", s.name, s.name))
		default:
			*s.value = text
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// readSecret answers what stands in a file, without the line end that editors add.
// strictly refuses one that everybody on the machine may read.
func readSecret(path string, strictly bool) (string, error) {
	info, err := os.Stat(path) // before it is opened: a pipe would have us wait
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("names no file: %s", path)
	case err != nil:
		return "", fmt.Errorf("cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("names no file: %s is something else", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	if strictly && info.Mode().Perm()&0o004 != 0 {
		return "", fmt.Errorf("names a file that everybody may read (%s is %04o; make it 0400 or 0440), and SLUICE_PRODUCTION is on", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(file, longestFile+1))
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	switch {
	case len(text) > longestFile:
		return "", fmt.Errorf("names a file of more than %d KiB: %s", longestFile>>10, path)
	case secret == "":
		return "", fmt.Errorf("names an empty file: %s", path)
	}
	return secret, nil
}
