package web

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// words is everything that the pages say.
var words = func() map[string][2]string {
	all := map[string][2]string{}
	for _, some := range []map[string][2]string{shopWords, sellWords, operateWords} {
		maps.Copy(all, some)
	}
	return all
}()

// languages are those that the pages speak; the first is for whoever speaks none of them.
var languages = []string{"en", "ko"}

// languageOf answers the language that a browser asks for, or that was chosen on a page.
func languageOf(r *http.Request) string {
	if chosen := cookieOf(r, languageName); chosen == "en" || chosen == "ko" {
		return chosen
	}
	for word := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch tag, _, _ := strings.Cut(strings.TrimSpace(word), ";"); strings.ToLower(strings.Split(tag, "-")[0]) {
		case "en":
			return "en"
		case "ko":
			return "ko"
		}
	}
	return languages[0]
}

// sayIn is a sentence in a language. A key that nobody has written is shown as it is, and
// a test finds it.
func sayIn(lang, key string, arguments ...any) string {
	both, ok := words[key]
	if !ok {
		return key
	}
	text := both[0]
	if lang == "ko" {
		text = both[1]
	}
	if len(arguments) > 0 {
		return fmt.Sprintf(text, arguments...)
	}
	return text
}

// momentIn is a time as the server writes it: in UTC. The browser writes it in its own zone.
func momentIn(lang string, t time.Time) string {
	t = t.UTC()
	if lang == "ko" {
		return t.Format("1월 2일 15:04") + " UTC"
	}
	return t.Format("Jan 2, 15:04") + " UTC"
}

// lengthIn is a duration in words, down to seconds; at most two of them.
func lengthIn(lang string, d time.Duration) string {
	units := []struct {
		of     time.Duration
		en, ko string
	}{{24 * time.Hour, "d", "일"}, {time.Hour, "h", "시간"}, {time.Minute, "min", "분"}, {time.Second, "s", "초"}}
	var parts []string
	for _, u := range units {
		n := d / u.of
		if n == 0 {
			continue
		}
		d -= n * u.of
		if lang == "ko" {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.ko))
		} else {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.en))
		}
		if len(parts) == 2 {
			break
		}
	}
	if len(parts) == 0 {
		return map[string]string{"en": "0 s", "ko": "0초"}[lang]
	}
	return strings.Join(parts, " ")
}
