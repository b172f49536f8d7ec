package process

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	secret := bytes.Repeat([]byte{0xfb, 0xff, 0x3e}, 11) // both alphabets differ in it
	raw := strings.Repeat("not base64!", 3)
	for name, test := range map[string]struct {
		text string
		want []byte // the first secret
		keys int
	}{
		"base64":          {"a:" + base64.StdEncoding.EncodeToString(secret), secret, 1},
		"base64 for URLs": {"a:" + base64.RawURLEncoding.EncodeToString(secret), secret, 1},
		"as it is":        {"a:" + raw, []byte(raw), 1},
		"with a colon":    {"a:b:" + raw, []byte("b:" + raw), 1},
		"two":             {"a:" + raw + ", b:" + raw, []byte(raw), 2},
		"32 letters":      {"a:" + strings.Repeat("x", 32), bytes.Repeat([]byte("x"), 32), 1}, // decoded it would be too short
		"too short":       {"a:" + strings.Repeat("x", 31), nil, 0},
		"no ID":           {":" + raw, nil, 0},
		"no secret":       {"a", nil, 0},
		"same ID twice":   {"a:" + raw + ",a:" + raw, nil, 0},
		"empty at end":    {"a:" + raw + ",", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := parseKeys(test.text)
			if test.keys == 0 {
				if err == nil || strings.Contains(err.Error(), "xxx") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || len(keys) != test.keys || !bytes.Equal(keys[0].Secret, test.want) || keys[0].ID != "a" {
				t.Errorf("got %q, %v", keys, err)
			}
		})
	}
}

func TestKeepKey(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	first, err := KeepKey(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKeys(first); err != nil {
		t.Errorf("the key is none: %v", err)
	}
	if again, err := KeepKey(folder); again != first || err != nil {
		t.Errorf("got %q, %v at the second time", again, err)
	}
	file := filepath.Join(folder, "jwt.key")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if other, err := KeepKey(t.TempDir()); other == first || err != nil {
		t.Errorf("two folders have one key, or %v", err)
	}
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeepKey(folder); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}
