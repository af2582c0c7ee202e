// Package h245 has the messages of H.245, the control protocol for multimedia:
// capabilities, logical channels, commands and indications
// (MultimediaSystemControlMessage). Package per reads and writes them.
package h245
