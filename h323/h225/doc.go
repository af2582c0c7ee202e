// Package h225 has the messages of H.225.0: registration, admission and status
// (RasMessage, in UDP), and what the user-user element of each call signalling
// message carries (H323UserInformation). Package per reads and writes them.
package h225
