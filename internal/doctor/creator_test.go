package doctor_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

// serveAWS starts a server that imitates AWS, and returns the configuration for it. For each action the server gives
// the answers in their order, and then repeats the last answer. It denies an action without answers.
func serveAWS(t *testing.T, answers map[string][]string) aws.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		list := answers[action]
		if len(list) == 0 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"User is not authorized"}`))
			return
		}
		if len(list) > 1 {
			answers[action] = list[1:]
		}
		_, _ = w.Write([]byte(list[0]))
	}))
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		RetryMaxAttempts: 1,
	}
}

// created returns a page of CloudTrail with one event. The page says that more pages follow.
func created(fields map[string]any) string {
	return marshal(map[string]any{"Events": []any{map[string]any{"CloudTrailEvent": marshal(fields)}}, "NextToken": "more"})
}

func marshal(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // the values of the tests have a form in JSON
	}
	return string(text)
}

func TestCloudTrailNamesTheCreator(t *testing.T) {
	t.Parallel()
	const role, user, session = "arn:aws:iam::111122223333:role/founder", "arn:aws:iam::111122223333:user/founder", "arn:aws:sts::111122223333:assumed-role/founder/x"
	parameters := map[string]any{"name": "prod"}
	ofRole := map[string]any{"arn": session, "sessionContext": map[string]any{"sessionIssuer": map[string]any{"arn": role}}}
	right := created(map[string]any{"eventSource": "eks.amazonaws.com", "requestParameters": parameters, "userIdentity": ofRole})
	for name, test := range map[string]struct {
		pages []string
		want  string
		fails bool
	}{
		"a role":             {[]string{right}, role, false},
		"a user":             {[]string{created(map[string]any{"eventSource": "eks.amazonaws.com", "requestParameters": parameters, "userIdentity": map[string]any{"arn": user}})}, user, false},
		"on the second page": {[]string{created(map[string]any{"eventSource": "ecs.amazonaws.com", "requestParameters": map[string]any{"clusterName": "prod"}, "userIdentity": ofRole}), right}, role, false},
		"a failed call":      {[]string{created(map[string]any{"eventSource": "eks.amazonaws.com", "errorCode": "AccessDenied", "requestParameters": parameters, "userIdentity": ofRole})}, "", false},
		"another cluster":    {[]string{created(map[string]any{"eventSource": "eks.amazonaws.com", "requestParameters": map[string]any{"name": "test"}, "userIdentity": ofRole})}, "", false},
		"no JSON":            {[]string{`{"Events":[{"CloudTrailEvent":"<html>"}]}`}, "", false},
		"no permission":      {nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := cloudtrail.NewFromConfig(serveAWS(t, map[string][]string{"LookupEvents": test.pages}))
			got, err := doctor.CreatorByCloudTrail(t.Context(), client, "prod")
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestTheLogNamesTheCreator(t *testing.T) {
	t.Parallel()
	results := func(status, message string) string {
		return marshal(map[string]any{"status": status, "results": []any{[]any{map[string]any{"field": "@message", "value": message}}}})
	}
	const arn = "arn:aws:iam::111122223333:role/founder"
	line := func(username string) string {
		return `time="2026-01-02T03:04:05Z" level=info msg="access granted" arn="` + arn + `" client="127.0.0.1" groups="[system:masters]" method=POST path=/authenticate uid="x" username=` + username
	}
	for name, test := range map[string]struct {
		start, results []string
		want           string
		fails          bool
	}{
		"a login":                       {[]string{`{"queryId":"1"}`}, []string{results("Running", ""), results("Complete", line("kubernetes-admin"))}, arn, false},
		"the login of another username": {[]string{`{"queryId":"1"}`}, []string{results("Complete", line("kubernetes-admin-2"))}, "", false},
		"no login":                      {[]string{`{"queryId":"1"}`}, []string{`{"status":"Complete","results":[]}`}, "", false},
		"a failed query":                {[]string{`{"queryId":"1"}`}, []string{`{"status":"Failed"}`}, "", false},
		"no permission to query":        {nil, nil, "", true},
		"no permission to read":         {[]string{`{"queryId":"1"}`}, nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := cloudwatchlogs.NewFromConfig(serveAWS(t, map[string][]string{"StartQuery": test.start, "GetQueryResults": test.results}))
			got, err := doctor.CreatorByLog(t.Context(), client, "prod", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
