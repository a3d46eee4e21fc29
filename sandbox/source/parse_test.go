package source

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	for arg, want := range map[string]Repo{
		"https://example.com/a/repo@v1.2":         {"https://example.com/a/repo", "v1.2", "repo", "https"},
		"https://example.com/a/repo.git":          {"https://example.com/a/repo.git", "", "repo", "https"},
		"https://example.com/a/repo.git/":         {"https://example.com/a/repo.git/", "", "repo", "https"},
		"https://ann@example.com/a/repo":          {"https://ann@example.com/a/repo", "", "repo", "https"},
		"https://example.com/~a/re.po@feature+1":  {"https://example.com/~a/re.po", "feature+1", "re.po", "https"},
		"ssh://git@example.com:2222/a/repo@main":  {"ssh://git@example.com:2222/a/repo", "main", "repo", "ssh"},
		"git@example.com:a/repo.git@v1":           {"git@example.com:a/repo.git", "v1", "repo", "ssh"},
		"git@example.com:repo.git":                {"git@example.com:repo.git", "", "repo", "ssh"},
		"git@example.com:repo.git@v1":             {"git@example.com:repo.git", "v1", "repo", "ssh"},
		"example.com:repo":                        {"example.com:repo", "", "repo", "ssh"},
		"/srv/git/repo.git@abcdef1":               {"/srv/git/repo.git", "abcdef1", "repo", "file"},
		"/srv/repo/.git":                          {"/srv/repo/.git", "", "repo", "file"},
		"../repo":                                 {"../repo", "", "repo", "file"},
		"./a:b":                                   {"./a:b", "", "a:b", "file"},
		"file:///srv/repo@1.0":                    {"file:///srv/repo", "1.0", "repo", "file"},
		"http://127.0.0.1:3000/a/repo":            {"http://127.0.0.1:3000/a/repo", "", "repo", "http"},
		"https://example.com/a/repo@2024.01,rc=1": {"https://example.com/a/repo", "2024.01,rc=1", "repo", "https"},
	} {
		if got, err := Parse(arg); err != nil || got != want {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, arg := range []string{
		"", "@v1", "-x", "--upload-pack=touch /tmp/x", "ext::sh -c touch% /tmp/x", "fd::17", "git://example.com/a", "ftp://example.com/a",
		"https://ann:secret@example.com/a", "https:///a", "https://example.com", "https://example.com/", "https://example.com/..",
		"https://example.com/a@-x", "https://example.com/a@", "https://example.com/a@main~3", "https://example.com/a@a..b",
		"https://example.com/a@x y", "https://example.com/a@x.lock", "https://example.com/a?x=1", "https://example.com/a#v1",
		"ssh://-oProxyCommand=x/a", "ssh://-x@example.com/a", "-oProxyCommand=x:a", "git@-x:a", "example.com:-x", "example.com:",
		"https://example.com/a\nb", "file://other/srv/a", "https://example.com/.git", "https://example.com/.hidden", "https://example.com/-x",
	} {
		var e *URLError
		if r, err := Parse(arg); !errors.As(err, &e) {
			t.Errorf("%q is %+v, %v", arg, r, err)
		}
	}
}

func TestPlainHTTPToOthers(t *testing.T) {
	for host, ok := range map[string]bool{"127.0.0.1:80": true, "localhost": true, "[::1]:80": true, "example.com": false, "127.0.0.1.example.com": false} {
		r, err := Parse("http://" + host + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.allowed(Options{}); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
		if _, err := r.allowed(Options{AllowHTTP: true}); err != nil {
			t.Errorf("%s allowed: %v", host, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("https://example.com/a@v1")
	f.Add("git@example.com:repo.git@v1")
	f.Add("ext::sh")
	f.Fuzz(func(t *testing.T, arg string) {
		r, err := Parse(arg)
		if err != nil {
			return
		}
		if r.String() != arg {
			t.Errorf("%q became %q", arg, r.String())
		}
		if r.Name == "" || r.Name[0] == '.' || r.Name[0] == '-' || badRev(r.Rev) != "" && r.Rev != "" || r.URL[0] == '-' {
			t.Errorf("%q is %+v", arg, r)
		}
		for _, c := range r.Name {
			if c == '/' || c < ' ' {
				t.Errorf("%q is named %q", arg, r.Name)
			}
		}
	})
}
