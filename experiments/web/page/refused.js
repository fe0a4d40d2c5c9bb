/** An error whose message is for the person at the page. */
export class Refused extends Error {}
